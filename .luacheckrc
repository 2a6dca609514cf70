-- SPDX-License-Identifier: MIT
std = "lua54"
max_line_length = 80
ignore = {"581"}  -- not (x >= y) is how NaN is refused
exclude_files = {"build", "docs/luals"}
files["spec"] = {std = "lua54+busted"}
files["**/.luacheckrc"] = {std = "luacheckrc"}
