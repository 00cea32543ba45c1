use std::fmt;

use serde::{Serialize, Serializer};

/// How a data set is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `<split>/<class>/*`, or `<class>/*` for training images alone; classes sorted by name. A `classes.txt` of lines
    /// `<class> <title>` gives names to show.
    ImageFolder,
    /// `<split>.csv` or `.tsv` with the columns `image_path,label` or others with usual names, paths relative to the
    /// file; or one table, whose column `split` says the split of each row, without which all are training images.
    /// Classes sorted by name, by value where all are integers.
    Csv,
    /// `data_batch_1.bin` to `data_batch_5.bin`, `test_batch.bin` (CIFAR-10) or `train.bin`, `test.bin` (CIFAR-100,
    /// fine labels), in the folder or in the one that the published archive unpacks to.
    CifarBinary,
    /// `<split>-*.parquet` in the folder, in `data`, or in its only other folder with such files: columns
    /// `image` or `img` (`bytes`, `path`) and `label` or `fine_label`, as on Hugging Face. Kept in memory.
    Parquet,
    /// `train-images-idx3-ubyte`, `train-labels-idx1-ubyte`, `t10k-...`, also `.gz` (the MNIST family). A `classes.txt`
    /// gives the names of the classes, a line each. Kept in memory.
    Idx,
    /// A mask for each image, which has its name: `<split>/*` and `<split>annot/*`, `images/*` and `masks/*` (with folders of
    /// splits in or around them), or `x.jpg` and `x_mask.png`.
    ImageMasks,
    /// PASCAL VOC: `JPEGImages`, `SegmentationClass`, and lists of names in `ImageSets/Segmentation`.
    Voc,
    /// Oxford-IIIT Pets: `images/*.jpg`, with `annotations/trainval.txt` and `test.txt`.
    OxfordPets,
    /// Describable Textures: `images/<class>/*.jpg`, with `labels/{train,val,test}N.txt`.
    Dtd {
        /// N.
        split: u32,
    },
    /// FGVC Aircraft: `images/*.jpg`, with `images_variant_{train,val,trainval,test}.txt`.
    FgvcAircraft,
    /// Caltech101: `101_ObjectCategories/<class>/*.jpg`; 30 images of each class, drawn for each number of a split, train.
    Caltech101 {
        /// Number of the draw.
        split: u32,
    },
    /// Food-101: `images/<class>/*.jpg`, with `meta/{train,test}.txt`.
    Food101,
    /// Caltech-UCSD Birds: `images/<class>/*.jpg`, with `images.txt` and `train_test_split.txt`.
    Cub200,
    /// Cityscapes: `leftImg8bit/<split>/<city>/*` and `gtFine/<split>/<city>/*`, with the 19 classes that are evaluated.
    Cityscapes,
    /// COCO: outlines of objects in `annotations/instances_<split>.json`, `<split>/_annotations.coco.json`, `result.json` or the
    /// like.
    Coco,
}

impl Format {
    /// Whether text files beside the images list them.
    pub fn lists_images(self) -> bool {
        matches!(
            self,
            Format::OxfordPets | Format::Dtd { .. } | Format::FgvcAircraft | Format::Food101 | Format::Cub200
        )
    }
}

impl Serialize for Format {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::OxfordPets => "Oxford Pets",
            Format::Dtd { split } => return write!(f, "DTD, split {split}"),
            Format::FgvcAircraft => "FGVC Aircraft, variants",
            Format::Caltech101 { split } => return write!(f, "Caltech101, split {split}"),
            Format::Food101 => "Food-101",
            Format::Cub200 => "CUB-200",
            Format::ImageFolder => "image folders",
            Format::Csv => "CSV",
            Format::CifarBinary => "CIFAR binary",
            Format::Parquet => "parquet",
            Format::Idx => "idx",
            Format::ImageMasks => "images and masks",
            Format::Voc => "VOC",
            Format::Cityscapes => "Cityscapes",
            Format::Coco => "COCO",
        })
    }
}
