//! Data sets whose labels are files of MATLAB, which are not read: the command that makes a table of them.

use std::path::Path;

use crate::data::found::Found;
use crate::data::{DataError, DatasetOptions, Layout};

/// A data set with lists in files of MATLAB.
struct Published {
    name: &'static str,
    /// A file that tells it from others.
    mark: &'static str,
    /// A program in Python on one line, run in the folder.
    program: &'static str,
}

const PUBLISHED: [Published; 3] = [
    Published {
        name: "Oxford Flowers-102",
        mark: "setid.mat",
        program: "import csv, scipy.io as s; c = s.loadmat('imagelabels.mat')['labels'][0]; i = s.loadmat('setid.mat'); \
                  w = csv.writer(open('labels.csv', 'w')); w.writerow(['image_path', 'label', 'split']); \
                  w.writerows(['jpg/image_%05d.jpg' % n, c[n - 1], k] for k, v in [('train', 'trnid'), ('val', 'valid'), \
                  ('test', 'tstid')] for n in i[v][0])",
    },
    Published {
        name: "Stanford Cars",
        mark: "devkit/cars_train_annos.mat",
        program: "import csv, scipy.io as s; r = lambda f, k: s.loadmat(f, squeeze_me=True)[k]; \
                  c = r('devkit/cars_meta.mat', 'class_names'); w = csv.writer(open('labels.csv', 'w')); \
                  w.writerow(['image_path', 'label', 'split']); \
                  w.writerows(['cars_%s/%s' % (k, a['fname']), c[int(a['class']) - 1], k] for k, f in \
                  [('train', 'devkit/cars_train_annos.mat'), ('test', 'cars_test_annos_withlabels.mat')] \
                  for a in r(f, 'annotations'))",
    },
    Published {
        name: "Stanford Cars",
        mark: "cars_annos.mat",
        program: "import csv, scipy.io as s; m = s.loadmat('cars_annos.mat', squeeze_me=True); c = m['class_names']; \
                  w = csv.writer(open('labels.csv', 'w')); w.writerow(['image_path', 'label', 'split']); \
                  w.writerows([a['relative_im_path'], c[int(a['class']) - 1], 'test' if a['test'] else 'train'] \
                  for a in m['annotations'])",
    },
];

/// Refuses a folder whose labels are in files of MATLAB; `None` for any other.
pub(in crate::data) fn refuse_matlab_lists(root: &Path, options: &DatasetOptions) -> Result<Option<Found>, DataError> {
    if options.layout != Layout::Auto {
        return Ok(None);
    }
    let is_it = |published: &&Published| root.join(published.mark).is_file();
    let Some(Published { name, program, .. }) = PUBLISHED.iter().find(is_it) else { return Ok(None) };
    let command = format!("python3 -c \"{program}\"");
    Err(DataError::MatlabLists { path: root.to_path_buf(), name, command })
}
