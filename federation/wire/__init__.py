"""What crosses between federates: links, messages, frames, and HELICS beneath them."""
