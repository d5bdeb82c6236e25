"""What is deployed: the streams, consumers and buckets (nats.toml), the functions' image, manifests."""
