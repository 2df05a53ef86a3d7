"""What every app must satisfy, present and to come: nothing here names one."""
