"""What may be said: the bodies of requests, schemas, and errors."""
