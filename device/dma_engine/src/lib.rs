//! The DMA engine: registers and doorbells in, requests and completion entries out.
