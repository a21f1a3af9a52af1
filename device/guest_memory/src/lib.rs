//! The guest's memfds, mapped once each, and every byte copied to or from them.
