"""Field work systems behind the port: files in folders, webhooks, a simulated crew."""
