"""The runs: federates over HELICS, campaigns, their store, reports and the command line."""
