"""The guided migration on screen: nine steps, each a page that explains itself."""
