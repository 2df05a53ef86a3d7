"""The trial of failover: what was acknowledged outlives the death of the primary."""
