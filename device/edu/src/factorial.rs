//! The factorial, in the 32 bits of its register.

/// From here on every factorial is a multiple of 2^32.
const FIRST_ZERO: u32 = 34;

/// `number`! modulo 2^32. The bound keeps a guest from making us count to 2^32.
pub(crate) fn factorial(number: u32) -> u32 {
    if number >= FIRST_ZERO {
        return 0;
    }
    (1..=number).fold(1, u32::wrapping_mul)
}

#[cfg(test)]
mod tests {
    use super::factorial;

    #[test]
    fn factorial_wraps_and_ends_in_zero() {
        let seen = [0, 1, 5, 12, 13, 33, 34, u32::MAX].map(factorial);
        let expected = [1, 1, 120, 479_001_600, 0x7328_cc00, 0x8000_0000, 0, 0];
        assert_eq!(seen, expected);
    }
}
