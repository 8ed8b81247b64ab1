"""The wheel must be whole: users install the wheel, not the tree."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

ROOT = Path(__file__).parents[1]


def test_the_wheel_holds_every_module_and_what_they_read(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    inside = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    tree = (ROOT / "mps_aigc_async").rglob("*")
    kinds = (".py", ".typed", ".jsonl", ".jinja", ".css", ".js")
    assert inside == {str(path.relative_to(ROOT)) for path in tree if path.suffix in kinds and path.is_file()}
