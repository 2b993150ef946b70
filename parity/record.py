#!/usr/bin/env python3
"""Records the parity vectors from the reference implementations (see README.md beside this file).

    python parity/record.py --semdedup DIR --dbp DIR --datacomp DIR [--webdataset DIR] [--out parity/vectors] [--only semdedup,density,...]

Each DIR is a git working tree or a bare git directory of facebookresearch/SemDeDup, amro-kamal/effective_pruning and
mlfoundations/datacomp. Nothing of theirs is copied: the files are run where they are, repaired in memory where they cannot run.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

PARTS = ("semdedup", "density", "quotas", "metadata", "reshard")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--semdedup", required=True, help="checkout of facebookresearch/SemDeDup")
    parser.add_argument("--dbp", required=True, help="checkout of amro-kamal/effective_pruning")
    parser.add_argument("--datacomp", required=True, help="checkout of mlfoundations/datacomp")
    parser.add_argument("--webdataset", help="folder holding the webdataset package that resharder.py wants (0.2.31); else the installed one")
    parser.add_argument("--out", default=str(Path(__file__).resolve().parent / "vectors"))
    parser.add_argument("--only", default=",".join(PARTS), help="comma list of " + ", ".join(PARTS))
    args = parser.parse_args()
    wanted = args.only.split(",")
    unknown = sorted(set(wanted) - set(PARTS))
    if unknown:
        parser.error(f"unknown part: {', '.join(unknown)}")

    from recorder import common, density, metadata, quotas, reshard, semdedup

    out = Path(args.out)
    with tempfile.TemporaryDirectory(prefix="cribble-parity-") as scratch:
        scratch = Path(scratch)
        semdedup_at = common.checkout(args.semdedup, scratch)
        dbp_at = common.checkout(args.dbp, scratch)
        datacomp_at = common.checkout(args.datacomp, scratch)
        if "semdedup" in wanted:
            semdedup.record(*semdedup_at, out, scratch)
        if "density" in wanted:
            density.record(semdedup_at, dbp_at, out, scratch)
        if "quotas" in wanted:
            quotas.record(*dbp_at, out, scratch)
        if "metadata" in wanted:
            metadata.record(*datacomp_at, out, scratch)
        if "reshard" in wanted:
            reshard.record(*datacomp_at, args.webdataset, out, scratch)


if __name__ == "__main__":
    main()
