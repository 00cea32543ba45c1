#!/usr/bin/env bash
# Fetches libtorch to where .cargo/config.toml looks for it. Does nothing when it is there already.
#
#   scripts/setup.sh          libtorch, for the CPU           (download 0.5 GB, on disk 1.2 GB)
#   CUDA=1 scripts/setup.sh   and the libraries its CUDA half loads
#
# LIBTORCH or LIBTORCH_USE_PYTORCH in the environment says that libtorch is elsewhere: nothing is fetched then.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=.libtorch
partial=.libtorch.partial

libtorch=(torch==2.11.0)
# libtorch_cpu itself is linked to these two.
[ "$(uname -s)" = Linux ] && libtorch+=(nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85)

# What libtorch_cuda, libtorch_cuda_linalg and libcaffe2_nvrtc are linked to, directly or through each other; the
# versions are those that the metadata of the torch wheel (and of cuda-toolkit 13.0.2, which it names) pins. Their
# run path looks in ../../nvidia/*/lib, which is where these wheels put them.
cuda=(
    nvidia-cublas==13.1.0.3 nvidia-cuda-nvrtc==13.0.88 nvidia-cudnn-cu13==9.19.0.56 nvidia-cufft==12.0.0.61
    nvidia-cufile==1.15.1.6 nvidia-curand==10.4.0.35 nvidia-cusolver==12.0.4.66 nvidia-cusparse==12.6.3.3
    nvidia-cusparselt-cu13==0.8.0 nvidia-nccl-cu13==2.28.9 nvidia-nvjitlink==13.0.88 nvidia-nvshmem-cu13==3.4.5
)

refuse() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 2
}

check_compilers() {
    command -v cargo > /dev/null ||
        refuse "cargo is missing" "install Rust with rustup; it then brings the version in rust-toolchain.toml by itself"
    command -v "${CXX:-c++}" > /dev/null ||
        refuse "no C++ compiler: ${CXX:-c++} is missing" "install one (Debian, Ubuntu: apt-get install g++)"
}

check_pip() {
    command -v python3 > /dev/null ||
        refuse "python3 is missing; libtorch is fetched with its pip" \
            "install it (Debian, Ubuntu: apt-get install python3 python3-pip), or set LIBTORCH to a libtorch 2.11.0"
    python3 -m pip --version > /dev/null 2>&1 ||
        refuse "python3 has no pip, which libtorch is fetched with" \
            "install it (Debian, Ubuntu: apt-get install python3-pip), or set LIBTORCH to a libtorch 2.11.0"
    python3 -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 14))' ||
        refuse "$(python3 --version) has no wheel of torch 2.11.0" \
            "put a python3 between 3.10 and 3.14 first on PATH, or set LIBTORCH to a libtorch 2.11.0"
}

check_own_libtorch() {
    case $LIBTORCH in
        /*) ;;
        *) refuse "LIBTORCH is not an absolute path: $LIBTORCH" "build scripts run in other folders; write the whole path" ;;
    esac
    [ -d "$LIBTORCH/lib" ] && [ -d "$LIBTORCH/include" ] ||
        refuse "LIBTORCH holds no lib and include: $LIBTORCH" "name the folder that contains both, or unset LIBTORCH"
}

# fetched STAMP WHEEL...: whether this very list was fetched to the end.
fetched() {
    local stamp=$folder/$1
    shift
    [ "$(cat "$stamp" 2> /dev/null)" = "$*" ]
}

fetch() {
    check_pip
    rm -rf "$partial"
    python3 -m pip install --disable-pip-version-check --no-deps --target "$partial" "$@" ||
        refuse "pip could not fetch $*" "look at its message above; run 'make setup' again to go on"
}

check_compilers
if [ -n "${LIBTORCH_USE_PYTORCH:-}" ]; then
    echo "libtorch: that of the python3 on PATH (LIBTORCH_USE_PYTORCH)"
    exit
fi
if [ -n "${LIBTORCH:-}" ]; then
    check_own_libtorch
    echo "libtorch: $LIBTORCH (LIBTORCH)"
    exit
fi

if ! fetched complete "${libtorch[@]}"; then
    fetch "${libtorch[@]}"
    echo "${libtorch[@]}" > "$partial/complete"
    rm -rf "$folder"
    mv "$partial" "$folder"
fi
if [ -n "${CUDA:-}" ] && [ "$CUDA" != 0 ] && ! fetched complete-cuda "${cuda[@]}"; then
    [ "$(uname -s)" = Linux ] || refuse "CUDA=1 needs Linux" "run 'make setup' without it"
    fetch "${cuda[@]}"
    # pip does not merge into folders that exist, and nvidia/ does.
    cp -R "$partial/." "$folder/"
    rm -rf "$partial"
    echo "${cuda[@]}" > "$folder/complete-cuda"
fi
echo "libtorch: 2.11.0 in $folder$([ ! -f "$folder/complete-cuda" ] || echo ', with CUDA')"
