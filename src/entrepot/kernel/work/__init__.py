"""Work that no request waits for: services, cron ticks, leases and the outbox."""
