# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""wireshark.py FILE OPTION...: a capture of a packet for each option, given in hex. "4:" goes into
an IPv4 header, "6:" into a destination options header, "poll:" is what a UDP datagram holds."""
import sys

from scapy.layers.inet import IP, TCP, UDP, IPOption
from scapy.layers.inet6 import HBHOptUnknown, IPv6, IPv6ExtHdrDestOpt
from scapy.layers.l2 import Ether
from scapy.utils import wrpcap


def packet(text):
    kind, _, digits = text.partition(':')
    octets = bytes.fromhex(digits)
    frame = Ether(src='02:00:00:00:05:01', dst='02:00:00:00:0b:01')
    if kind == 'poll':
        return frame / IP(src='10.1.0.11', dst='10.1.0.2') / UDP(sport=9571, dport=40000) / octets
    if kind == '6':
        option = HBHOptUnknown(otype=octets[0], optdata=octets[2:])
        return (frame / IPv6(src='fd00::100', dst='fd00::201') / IPv6ExtHdrDestOpt(options=[option])
                / TCP(sport=80, dport=40000, flags='A'))
    return (frame / IP(src='10.1.0.100', dst='10.1.0.201', options=IPOption(octets))
            / TCP(sport=80, dport=40000, flags='A'))


wrpcap(sys.argv[1], [packet(text) for text in sys.argv[2:]])
