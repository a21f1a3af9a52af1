//! The vfio-user protocol on the socket: bytes, regions, file descriptors, interrupts.
