// IPFS's own importer and exporter behind the part of Kubo's RPC that the house calls: add and cat, by POST only.
// Started with a port (0 takes a free one), it prints the address that it listens on.
// Sources: docs.ipfs.tech/reference/kubo/rpc, npm ipfs-unixfs-importer and ipfs-unixfs-exporter.
import { createServer } from 'node:http'
import { MemoryBlockstore } from 'blockstore-core/memory'
import { exporter } from 'ipfs-unixfs-exporter'
import { importer } from 'ipfs-unixfs-importer'
import { fixedSize } from 'ipfs-unixfs-importer/chunker'
import { balanced } from 'ipfs-unixfs-importer/layout'

const blocks = new MemoryBlockstore()

async function add (query, request) {
  const form = await request.formData()
  const file = form.get('file')
  const [kind, size] = (query.get('chunker') ?? 'size-262144').split('-')
  if (kind !== 'size') throw new Error(`unrecognized chunker option: ${kind}`)
  const options = {
    cidVersion: Number(query.get('cid-version') ?? 0),
    rawLeaves: query.get('raw-leaves') === 'true',
    reduceSingleLeafToSelf: true,
    wrapWithDirectory: false,
    chunker: fixedSize({ chunkSize: Number(size) }),
    layout: balanced({ maxChildrenPerNode: 174 })
  }
  const content = new Uint8Array(await file.arrayBuffer())
  for await (const made of importer([{ path: file.name, content }], blocks, options)) {
    return JSON.stringify({ Name: file.name, Hash: made.cid.toString(), Size: String(made.size) }) + '\n'
  }
}

async function cat (query) {
  const entry = await exporter(query.get('arg'), blocks)
  const parts = []
  for await (const part of entry.content()) parts.push(part)
  return Buffer.concat(parts)
}

const commands = { '/api/v0/add': add, '/api/v0/cat': cat }

async function answer (incoming) {
  const url = new URL(incoming.url, 'http://localhost')
  if (incoming.method !== 'POST') return [405, 'only POST is allowed']
  if (!(url.pathname in commands)) return [404, '404 page not found']
  const parts = []
  for await (const part of incoming) parts.push(part)
  const request = new Request(url, { method: 'POST', headers: incoming.headers, body: Buffer.concat(parts) })
  try {
    return [200, await commands[url.pathname](url.searchParams, request)]
  } catch (error) {
    return [500, JSON.stringify({ Message: error.message, Code: 0, Type: 'error' })]
  }
}

const server = createServer(async (incoming, outgoing) => {
  const [status, body] = await answer(incoming)
  outgoing.writeHead(status)
  outgoing.end(body)
})
server.listen(Number(process.argv[2] ?? 0), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`))
process.stdin.on('end', () => process.exit()).resume()
