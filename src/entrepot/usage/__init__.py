"""The words of every command: parameters and help, without what does them, which is imported when it is called."""
