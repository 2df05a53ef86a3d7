"""Work that no request waits for: tasks at their times, services all the time, leases."""
