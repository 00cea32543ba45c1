use image::RgbImage;

/// A rectangle of whole pixels inside an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// Columns left of it.
    pub left: u32,
    /// Rows above it.
    pub top: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Region {
    /// All of an image of `width` x `height`.
    pub fn whole((width, height): (u32, u32)) -> Self {
        Region { left: 0, top: 0, width, height }
    }

    /// Copies the rectangle out of `image`; the whole image is handed on without a copy.
    ///
    /// # Panics
    /// When the rectangle leaves the image: whoever makes a region makes it from the image's size.
    pub fn cut(self, image: RgbImage) -> RgbImage {
        if self == Region::whole(image.dimensions()) { image } else { self.cut_from(&image) }
    }

    /// Copies the rectangle out of `image`.
    ///
    /// # Panics
    /// As [`Region::cut`].
    pub fn cut_from(self, image: &RgbImage) -> RgbImage {
        let row = image.width() as usize * 3;
        let (start, length) = (self.left as usize * 3, self.width as usize * 3);
        let mut pixels = Vec::with_capacity(length * self.height as usize);
        for y in self.top..self.top + self.height {
            let at = y as usize * row + start;
            pixels.extend_from_slice(&image.as_raw()[at..at + length]);
        }
        RgbImage::from_raw(self.width, self.height, pixels).expect("a row was copied for every row")
    }
}
