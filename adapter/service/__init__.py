"""The running gateway: settings read, parts built and connected."""
