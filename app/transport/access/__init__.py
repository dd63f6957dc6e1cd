"""Access over HTTP: what each route needs (`needs`), who asks (`credentials`), and the guard before both."""
