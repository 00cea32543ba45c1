//! The data sets that can be fetched: one table.
//!
//! A SHA-256 stands here only if it was taken from a published pin or from the bytes themselves. Files: the pins of
//! TensorFlow Datasets 4.9.10 (`checksums.tsv`, `url_checksums`). Contents of Fashion-MNIST: measured on Debian's
//! package, whose files become the pinned ones, byte for byte, when the name and time of the original gzip headers are
//! put back; they are also those of the authors' repository, by its blob ids.

use super::FetchError;

/// A data set that can be fetched.
#[derive(Debug, Clone, Copy)]
pub struct DataSet<'a> {
    /// What the command line calls it.
    pub name: &'a str,
    /// Number of classes.
    pub classes: u32,
    /// Images of each split, in words.
    pub images: &'a str,
    /// Its licence, in words.
    pub licence: &'a str,
    /// The page of its authors.
    pub page: &'a str,
    /// Files to fetch.
    pub files: &'a [RemoteFile<'a>],
    /// What is done with them.
    pub form: Form<'a>,
    /// A Debian package with the same files.
    pub package: Option<DebianPackage<'a>>,
}

/// A file at an address.
#[derive(Debug, Clone, Copy)]
pub struct RemoteFile<'a> {
    /// Its name on disk.
    pub name: &'a str,
    /// Where it can be had, tried in this order.
    pub addresses: &'a [&'a str],
    /// Its length.
    pub bytes: u64,
    /// SHA-256 of the file, in lower case.
    pub sha256: &'a str,
    /// SHA-256 of what a `.gz` unpacks to, where another source packs it differently.
    pub content: Option<&'a str>,
}

/// What becomes of the files.
#[derive(Debug, Clone, Copy)]
pub enum Form<'a> {
    /// They stay as they are.
    Files {
        /// Names of the classes by number, written to `classes.txt`; none where the numbers are their names.
        classes: &'a [&'a str],
    },
    /// The only file is a gzipped tar.
    TarGz(TarGz<'a>),
}

/// What is taken out of an archive.
#[derive(Debug, Clone, Copy)]
pub struct TarGz<'a> {
    /// The folder in it that holds everything; it is left out.
    pub top: &'a str,
    /// Files and folders in that one which are taken; whatever else the archive holds is left.
    pub keep: &'a [&'a str],
    /// Names to show for class folders, written to `classes.txt`; none where the folders say it themselves.
    pub titles: &'a [(&'a str, &'a str)],
}

/// A package of Debian with the files of a data set.
#[derive(Debug, Clone, Copy)]
pub struct DebianPackage<'a> {
    /// Its name.
    pub name: &'a str,
    /// The absolute path of the folder that it installs the files to.
    pub folder: &'a str,
}

impl DataSet<'_> {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// Data sets of a form that is read here, of whose present files no SHA-256 could be established: name and page.
const UNPINNED: &[(&str, &str)] = &[("imagewoof", "https://github.com/fastai/imagenette")];

/// The data set of this name.
///
/// # Errors
/// [`FetchError::Unknown`], with the name that is nearest; [`FetchError::Unpinned`].
pub fn find(name: &str) -> Result<&'static DataSet<'static>, FetchError> {
    if let Some(&(name, page)) = UNPINNED.iter().find(|(unpinned, _)| *unpinned == name) {
        return Err(FetchError::Unpinned { name, page });
    }
    CATALOGUE.iter().find(|set| set.name == name).ok_or_else(|| FetchError::Unknown {
        name: name.to_string(),
        near: CATALOGUE
            .iter()
            .map(|set| (set.name, strsim::normalized_damerau_levenshtein(set.name, name)))
            .filter(|&(_, likeness)| likeness > 0.5)
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(name, _)| name),
    })
}

const fn file<'a>(name: &'a str, addresses: &'a [&'a str], bytes: u64, sha256: &'a str) -> RemoteFile<'a> {
    RemoteFile { name, addresses, bytes, sha256, content: None }
}

const fn packed<'a>(file: RemoteFile<'a>, content: &'a str) -> RemoteFile<'a> {
    RemoteFile { content: Some(content), ..file }
}

/// Classes of Fashion-MNIST, as its authors name them.
const FASHION: &[&str] =
    &["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];

/// Titles of Imagenette's classes.
const IMAGENETTE: &[(&str, &str)] = &[
    ("n01440764", "tench"),
    ("n02102040", "English springer"),
    ("n02979186", "cassette player"),
    ("n03000684", "chain saw"),
    ("n03028079", "church"),
    ("n03394916", "French horn"),
    ("n03417042", "garbage truck"),
    ("n03425413", "gas pump"),
    ("n03445777", "golf ball"),
    ("n03888257", "parachute"),
];
const IMAGENETTE_LICENCE: &str = "selection Apache-2.0, images under ImageNet's terms";

/// All data sets that can be fetched.
pub const CATALOGUE: &[DataSet<'static>] = &[
    DataSet {
        name: "fashion-mnist",
        classes: 10,
        images: "60,000 train, 10,000 test, 28x28 grey",
        licence: "MIT",
        page: "https://github.com/zalandoresearch/fashion-mnist",
        files: &[
            packed(
                file(
                    "train-images-idx3-ubyte.gz",
                    &[
                        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-images-idx3-ubyte.gz",
                        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/train-images-idx3-ubyte.gz",
                    ],
                    26_421_880,
                    "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                ),
                "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            ),
            packed(
                file(
                    "train-labels-idx1-ubyte.gz",
                    &[
                        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-labels-idx1-ubyte.gz",
                        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/train-labels-idx1-ubyte.gz",
                    ],
                    29_515,
                    "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                ),
                "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            ),
            packed(
                file(
                    "t10k-images-idx3-ubyte.gz",
                    &[
                        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-images-idx3-ubyte.gz",
                        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/t10k-images-idx3-ubyte.gz",
                    ],
                    4_422_102,
                    "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                ),
                "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            ),
            packed(
                file(
                    "t10k-labels-idx1-ubyte.gz",
                    &[
                        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-labels-idx1-ubyte.gz",
                        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/t10k-labels-idx1-ubyte.gz",
                    ],
                    5_148,
                    "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                ),
                "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
            ),
        ],
        form: Form::Files { classes: FASHION },
        package: Some(DebianPackage { name: "dataset-fashion-mnist", folder: "/usr/share/datasets/fashion-mnist" }),
    },
    DataSet {
        name: "mnist",
        classes: 10,
        images: "60,000 train, 10,000 test, 28x28 grey",
        licence: "none stated",
        page: "http://yann.lecun.com/exdb/mnist/",
        files: &[
            file(
                "train-images-idx3-ubyte.gz",
                &["https://storage.googleapis.com/cvdf-datasets/mnist/train-images-idx3-ubyte.gz"],
                9_912_422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            ),
            file(
                "train-labels-idx1-ubyte.gz",
                &["https://storage.googleapis.com/cvdf-datasets/mnist/train-labels-idx1-ubyte.gz"],
                28_881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            ),
            file(
                "t10k-images-idx3-ubyte.gz",
                &["https://storage.googleapis.com/cvdf-datasets/mnist/t10k-images-idx3-ubyte.gz"],
                1_648_877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            ),
            file(
                "t10k-labels-idx1-ubyte.gz",
                &["https://storage.googleapis.com/cvdf-datasets/mnist/t10k-labels-idx1-ubyte.gz"],
                4_542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ],
        form: Form::Files { classes: &[] },
        package: None,
    },
    DataSet {
        name: "kmnist",
        classes: 10,
        images: "60,000 train, 10,000 test, 28x28 grey",
        licence: "CC BY-SA 4.0",
        page: "https://github.com/rois-codh/kmnist",
        files: &[
            file(
                "train-images-idx3-ubyte.gz",
                &["http://codh.rois.ac.jp/kmnist/dataset/kmnist/train-images-idx3-ubyte.gz"],
                18_165_135,
                "51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
            ),
            file(
                "train-labels-idx1-ubyte.gz",
                &["http://codh.rois.ac.jp/kmnist/dataset/kmnist/train-labels-idx1-ubyte.gz"],
                29_497,
                "e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
            ),
            file(
                "t10k-images-idx3-ubyte.gz",
                &["http://codh.rois.ac.jp/kmnist/dataset/kmnist/t10k-images-idx3-ubyte.gz"],
                3_041_136,
                "edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
            ),
            file(
                "t10k-labels-idx1-ubyte.gz",
                &["http://codh.rois.ac.jp/kmnist/dataset/kmnist/t10k-labels-idx1-ubyte.gz"],
                5_120,
                "20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
            ),
        ],
        form: Form::Files { classes: &[] },
        package: None,
    },
    DataSet {
        name: "cifar10",
        classes: 10,
        images: "50,000 train, 10,000 test, 32x32",
        licence: "none stated",
        page: "https://www.cs.toronto.edu/~kriz/cifar.html",
        files: &[file(
            "cifar-10-binary.tar.gz",
            &["https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"],
            170_052_171,
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        )],
        form: Form::TarGz(TarGz {
            top: "cifar-10-batches-bin",
            keep: &[
                "batches.meta.txt",
                "data_batch_1.bin",
                "data_batch_2.bin",
                "data_batch_3.bin",
                "data_batch_4.bin",
                "data_batch_5.bin",
                "test_batch.bin",
            ],
            titles: &[],
        }),
        package: None,
    },
    DataSet {
        name: "cifar100",
        classes: 100,
        images: "50,000 train, 10,000 test, 32x32",
        licence: "none stated",
        page: "https://www.cs.toronto.edu/~kriz/cifar.html",
        files: &[file(
            "cifar-100-binary.tar.gz",
            &["https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz"],
            168_513_733,
            "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
        )],
        form: Form::TarGz(TarGz {
            top: "cifar-100-binary",
            keep: &["coarse_label_names.txt", "fine_label_names.txt", "test.bin", "train.bin"],
            titles: &[],
        }),
        package: None,
    },
    DataSet {
        name: "imagenette",
        classes: 10,
        images: "9,469 train, 3,925 val, shorter side 160",
        licence: IMAGENETTE_LICENCE,
        page: "https://github.com/fastai/imagenette",
        files: &[file(
            "imagenette2-160.tgz",
            &["https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz"],
            99_003_388,
            "64d0c4859f35a461889e0147755a999a48b49bf38a7e0f9bd27003f10db02fe5",
        )],
        form: Form::TarGz(TarGz { top: "imagenette2-160", keep: &["train", "val"], titles: IMAGENETTE }),
        package: None,
    },
    DataSet {
        name: "imagenette-320",
        classes: 10,
        images: "9,469 train, 3,925 val, shorter side 320",
        licence: IMAGENETTE_LICENCE,
        page: "https://github.com/fastai/imagenette",
        files: &[file(
            "imagenette2-320.tgz",
            &["https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-320.tgz"],
            341_663_724,
            "569b4497c98db6dd29f335d1f109cf315fe127053cedf69010d047f0188e158c",
        )],
        form: Form::TarGz(TarGz { top: "imagenette2-320", keep: &["train", "val"], titles: IMAGENETTE }),
        package: None,
    },
    DataSet {
        name: "flower-photos",
        classes: 5,
        images: "3,670 train, of several sizes",
        licence: "CC BY, see its LICENSE.txt",
        page: "https://www.tensorflow.org/datasets/catalog/tf_flowers",
        files: &[file(
            "flower_photos.tgz",
            &[
                "https://storage.googleapis.com/download.tensorflow.org/example_images/flower_photos.tgz",
                "http://download.tensorflow.org/example_images/flower_photos.tgz",
            ],
            228_813_984,
            "4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c",
        )],
        form: Form::TarGz(TarGz {
            top: "flower_photos",
            keep: &["LICENSE.txt", "daisy", "dandelion", "roses", "sunflowers", "tulips"],
            titles: &[],
        }),
        package: None,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_consistent() {
        for (at, set) in CATALOGUE.iter().enumerate() {
            assert!(CATALOGUE[..at].iter().all(|other| other.name != set.name), "{}", set.name);
            assert!(!matches!(set.form, Form::TarGz(_)) || set.files.len() == 1, "{}", set.name);
            for file in set.files {
                let is_digest = |text: &str| text.len() == 64 && text.bytes().all(|b| b"0123456789abcdef".contains(&b));
                assert!(is_digest(file.sha256) && file.content.is_none_or(is_digest), "{}", file.name);
                assert!(file.addresses.iter().all(|address| address.ends_with(file.name)), "{}", file.name);
            }
        }
    }

    #[test]
    fn a_name_that_is_nearly_right_is_answered_with_the_right_one() {
        assert_eq!(find("cifar10").unwrap().classes, 10);
        let near = |name| match find(name) {
            Err(FetchError::Unknown { near, .. }) => near,
            _ => None,
        };
        assert_eq!(near("fashion_mnist"), Some("fashion-mnist"));
        assert_eq!(near("something else"), None);
        let unpinned = find("imagewoof").unwrap_err();
        assert!(unpinned.to_string().contains("SHA-256") && unpinned.hint().unwrap().to_string().contains("data.dir"));
    }
}
