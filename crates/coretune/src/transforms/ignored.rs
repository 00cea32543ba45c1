/// The value of a mask where the pixel is ignored.
pub const IGNORED: u8 = 255;
