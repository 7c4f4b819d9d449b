"""The SOAP door: kept byte for byte, checked, answered after the commit."""
