"""The doors: SOAP in from the head end (`listener`), JSON in from the utility (`api`)."""
