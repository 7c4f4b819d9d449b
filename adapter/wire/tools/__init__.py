"""Messages for people: explained, compared, as JSON, as references."""
