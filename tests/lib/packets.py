# SPDX-License-Identifier: Apache-2.0
"""Packets as they are on an interface: captured, sent, and their checksums checked, all by this file alone."""

import array
import contextlib
import fcntl
import socket
import struct
import time

ETH_P_ALL = 3
SOL_PACKET, PACKET_AUXDATA, PACKET_OUTGOING = 263, 8, 4
TP_STATUS_CSUMNOTREADY = 8
SIOCETHTOOL, ETHTOOL_STXCSUM = 0x8946, 0x17
FIN, SYN, RST, ACK = 1, 2, 4, 16


def ones_sum(data):
    """RFC 1071: 0xffff over what includes its right checksum."""
    words = array.array("H", data + b"\0" * (len(data) % 2))
    words.byteswap()
    total = sum(words)
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def checksum(data):
    return ~ones_sum(data) & 0xFFFF


class Packet:
    """One frame, taken apart. `checksums` says whether those of IPv4 and the transport are right."""

    def __init__(self, frame, not_ready=False):
        self.frame, self.not_ready = frame, not_ready
        self.mac_to, self.mac_from = frame[:6], frame[6:12]
        kind, = struct.unpack("!H", frame[12:14])
        ip = frame[14:]
        self.protocol, self.payload, ip_right = None, b"", True
        if kind == 0x0800 and ip[0] >> 4 == 4:
            length, = struct.unpack("!H", ip[2:4])
            header = (ip[0] & 15) * 4
            self.protocol, addresses, body = ip[9], ip[12:20], ip[header:length]
            ip_right = ones_sum(ip[:header]) == 0xFFFF
        elif kind == 0x86DD:
            length, = struct.unpack("!H", ip[4:6])
            self.protocol, addresses, body = ip[6], ip[8:40], ip[40:40 + length]
        if self.protocol not in (socket.IPPROTO_TCP, socket.IPPROTO_UDP):
            return
        half = len(addresses) // 2
        family = socket.AF_INET if half == 4 else socket.AF_INET6
        self.source, self.destination = (socket.inet_ntop(family, a) for a in (addresses[:half], addresses[half:]))
        self.source_port, self.port = struct.unpack("!HH", body[:4])
        pseudo = addresses + struct.pack("!II", len(body), self.protocol)
        self.checksums = ip_right and ones_sum(pseudo + body) == 0xFFFF
        # What is to be completed by hardware has that of the pseudo header.
        at = 16 if self.protocol == socket.IPPROTO_TCP else 6
        self.pseudo = ip_right and struct.unpack("!H", body[at:at + 2])[0] == ones_sum(pseudo)
        if self.protocol == socket.IPPROTO_TCP:
            self.seq, self.ack, offset, self.flags = struct.unpack("!IIBB", body[4:14])
            self.payload = body[(offset >> 4) * 4:]
        else:
            self.payload = body[8:]


class Wire:
    """A packet socket on an interface of the namespace it is made in."""

    def __init__(self, dev):
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        self.socket.bind((dev, ETH_P_ALL))
        self.dev = dev

    def close(self):
        self.socket.close()

    def send(self, frame):
        self.socket.send(frame)

    def arrived(self, wanted, timeout=10):
        """The first packet that arrives and for which `wanted` is true, or None."""
        until = time.monotonic() + timeout
        while (left := until - time.monotonic()) > 0:
            self.socket.settimeout(left)
            with contextlib.suppress(TimeoutError):
                frame, extra, _, address = self.socket.recvmsg(65536, socket.CMSG_SPACE(20))
                if address[2] == PACKET_OUTGOING:
                    continue
                status = [struct.unpack("=I", data[:4])[0] for level, kind, data in extra if (level, kind) == (SOL_PACKET, PACKET_AUXDATA)]
                packet = Packet(frame, bool(status and status[0] & TP_STATUS_CSUMNOTREADY))
                if packet.protocol in (socket.IPPROTO_TCP, socket.IPPROTO_UDP) and wanted(packet):
                    return packet
        return None


def set_offload(dev, on):
    """Whether the interface, in this namespace, completes checksums by itself."""
    value = array.array("B", struct.pack("=II", ETHTOOL_STXCSUM, on))
    request = struct.pack("16sP", dev.encode(), value.buffer_info()[0]).ljust(40, b"\0")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCETHTOOL, request)


def frame(mac_from, mac_to, source, destination, protocol, body, at):
    """`body` from the transport header on, with its checksum, two zeros `at` an offset, filled in."""
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    addresses = socket.inet_pton(family, source) + socket.inet_pton(family, destination)
    right = checksum(addresses + struct.pack("!II", len(body), protocol) + body) or 0xFFFF
    body = body[:at] + struct.pack("!H", right) + body[at + 2:]
    if family == socket.AF_INET6:
        ip, kind = struct.pack("!IHBB", 6 << 28, len(body), protocol, 64) + addresses, 0x86DD
    else:
        head = struct.pack("!HHIBB", 0x4500, 20 + len(body), 0x4000, 64, protocol)
        ip, kind = head + struct.pack("!H", checksum(head + addresses)) + addresses, 0x0800
    return mac_to + mac_from + struct.pack("!H", kind) + ip + body


def tcp_body(source_port, port, seq, ack, flags, payload=b""):
    return struct.pack("!HHIIBBHHH", source_port, port, seq, ack, 5 << 4, flags, 1000, 0, 0) + payload


def udp_body(source_port, port, payload):
    return struct.pack("!HHHH", source_port, port, 8 + len(payload), 0) + payload
