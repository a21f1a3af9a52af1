//! PCI configuration space, BARs and capabilities; knows no socket and no DMA.
