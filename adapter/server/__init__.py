"""What every HTTP server here needs: connections, bodies, credentials, limits. No routes."""
