"""Master data: devices and service points, loaded whole or not at all."""
