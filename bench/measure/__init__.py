# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""What bench/feedback and bench/report are made of."""
