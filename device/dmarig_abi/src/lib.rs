//! What drivers and device agree on: registers, descriptors, completion entries, mailbox.
