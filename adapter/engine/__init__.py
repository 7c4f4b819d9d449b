"""The loop that carries out what the pure floors decide. Ports here, implementations above."""
