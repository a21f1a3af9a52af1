//! The device process: puts the parts together and owns the epoll loop.
