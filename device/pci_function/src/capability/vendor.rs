//! Vendor-specific capabilities. Section 7.9.4.

use super::list::{CapabilityError, CapabilityList, MAX_VENDOR_BYTES};
use crate::registers::Registers;

const ID: u8 = 0x09;
/// ID, link and length.
const HEADER_LEN: usize = 3;

/// Adds a capability whose bytes behind the length byte are `data`; they cannot be written.
pub(super) fn install(
    registers: &mut Registers,
    list: &mut CapabilityList,
    data: &[u8],
) -> Result<(), CapabilityError> {
    if data.is_empty() || data.len() > MAX_VENDOR_BYTES {
        return Err(CapabilityError::VendorLength { len: data.len() });
    }
    let len = HEADER_LEN + data.len();
    let offset = list.add(registers, ID, len)?;
    let length_byte = u8::try_from(len).expect("at most 192");
    registers.define_bytes(offset + 2, &[length_byte]);
    registers.define_bytes(offset + HEADER_LEN, data);
    Ok(())
}
