"""EVM chains: RPC, logs, decoders, the indexer and the transaction sender."""
