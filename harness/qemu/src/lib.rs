//! Probes KVM, builds the QEMU command line, owns the process, QMP and the consoles.
