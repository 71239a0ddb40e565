/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PLIMSOLL_TEST_COUNT_H
#define PLIMSOLL_TEST_COUNT_H

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

#endif
