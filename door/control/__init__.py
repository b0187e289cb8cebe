"""The service behind the proxy: sign-in, front page, API, waking and sleeping."""
