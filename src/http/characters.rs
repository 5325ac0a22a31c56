//! Which bytes the parts of a head may have. Pure.

/// `tchar` of RFC 9110 section 5.6.2.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    const TOKEN_BYTES: [bool; 256] = letters_digits_and(b"!#$%&'*+-.^_`|~");
    TOKEN_BYTES[usize::from(byte)]
}

/// `unreserved` and `sub-delims` of RFC 3986 section 2.
pub(super) fn is_name_byte(byte: u8) -> bool {
    const NAME_BYTES: [bool; 256] = letters_digits_and(b"-._~!$&'()*+,;=");
    NAME_BYTES[usize::from(byte)]
}

/// For each byte, whether it is one of these.
const fn letters_digits_and(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x80 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
}
