//! The remapping unit by its public face: translations, caches, faults, and properties against a naive
//! walker that was written apart from it.

mod caches;
mod faults;
mod properties;
mod reference;
mod registers;
mod strategies;
mod tables;
mod translations;
