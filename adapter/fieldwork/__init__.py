"""Field work systems behind the port: files, webhooks, a simulated crew; replies by webhook."""
