"""The client of poster."""
