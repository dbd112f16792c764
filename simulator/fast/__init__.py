"""OpenDSS's own network, solved for many realizations side by side."""
