-- SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
-- Plimsoll's load reports for Wireshark and tshark: the option in IPv4 (type 0x5E), the destination
-- option in IPv6 (type 0x1E), and the datagrams that ask for a report. As doc/wire-format.md has it.
--
-- Wireshark has no table for options, so this looks at them after everything else was dissected.
-- With the key in the preferences (Protocols, PLIMSOLL) tags are checked.

local OPTION_IPV4 = 0x5E
local OPTION_IPV6 = 0x1E
local MAGIC = 0xB7
local VERSION = 1
local LENGTH = 24
local LENGTH_KEYED = 32
local POLL_PORT = 9571
local POLL_LENGTH = 8
local POLL_KINDS = { [1] = "request", [2] = "answer" }
local TAG_STATES = { [0] = "wrong", [1] = "right", [2] = "not checked: no key in the preferences" }

local report = Proto("plimsoll", "Plimsoll load report")
local poll = Proto("plimsoll_poll", "Plimsoll load poll")

report.prefs.key = Pref.string("Report key", "", "32 hex digits, as in the file report_key; empty: tags are not checked")

local field = {
	type = ProtoField.uint8("plimsoll.type", "Option type", base.HEX),
	length = ProtoField.uint8("plimsoll.length", "Length"),
	magic = ProtoField.uint8("plimsoll.magic", "Magic", base.HEX),
	version = ProtoField.uint8("plimsoll.version", "Version", base.DEC, nil, 0xF0),
	keyed = ProtoField.bool("plimsoll.flags.keyed", "Keyed: a tag follows", 8, nil, 0x08),
	draining = ProtoField.bool("plimsoll.flags.draining", "Draining", 8, nil, 0x04),
	application = ProtoField.bool("plimsoll.flags.application", "The utilisation is the application's", 8, nil, 0x02),
	restarted = ProtoField.bool("plimsoll.flags.restarted", "Counters began anew", 8, nil, 0x01),
	server_id = ProtoField.ipv4("plimsoll.server_id", "Server"),
	sequence = ProtoField.uint32("plimsoll.sequence", "Sequence"),
	in_flight = ProtoField.uint16("plimsoll.in_flight", "Requests in flight"),
	utilisation = ProtoField.float("plimsoll.utilisation", "Utilisation, 0..1"),
	latency_us = ProtoField.uint64("plimsoll.latency_us", "Latency (us)"),
	accept_queue = ProtoField.float("plimsoll.accept_queue", "Accept queue, 0..1"),
	connections_seen = ProtoField.uint32("plimsoll.connections_seen", "New connections seen"),
	tag = ProtoField.bytes("plimsoll.tag", "Tag"),
	tag_state = ProtoField.uint8("plimsoll.tag.state", "Tag", base.DEC, TAG_STATES),
}
report.fields = field

local expert = {
	version = ProtoExpert.new("plimsoll.wrong_version", "The version is not 1: receivers drop this",
		expert.group.PROTOCOL, expert.severity.WARN),
	length = ProtoExpert.new("plimsoll.wrong_length", "The length fits neither the flags nor the room",
		expert.group.MALFORMED, expert.severity.ERROR),
	tag = ProtoExpert.new("plimsoll.wrong_tag", "The tag is wrong for this key and these addresses",
		expert.group.SECURITY, expert.severity.WARN),
}
report.experts = expert

local poll_field = {
	kind = ProtoField.uint8("plimsoll_poll.kind", "Kind", base.DEC, POLL_KINDS, 0x0F),
	version = ProtoField.uint8("plimsoll_poll.version", "Version", base.DEC, nil, 0xF0),
	number = ProtoField.uint32("plimsoll_poll.number", "Number of the request"),
}
poll.fields = poll_field

-- SipHash-2-4 over whole 64-bit words, which is all that there is to hash.
local function siphash_round(v)
	v[0] = v[0] + v[1]
	v[1] = v[1]:rol(13):bxor(v[0])
	v[0] = v[0]:rol(32)
	v[2] = v[2] + v[3]
	v[3] = v[3]:rol(16):bxor(v[2])
	v[0] = v[0] + v[3]
	v[3] = v[3]:rol(21):bxor(v[0])
	v[2] = v[2] + v[1]
	v[1] = v[1]:rol(17):bxor(v[2])
	v[2] = v[2]:rol(32)
end

local function siphash_word(v, word)
	v[3] = v[3]:bxor(word)
	siphash_round(v)
	siphash_round(v)
	v[0] = v[0]:bxor(word)
end

-- Little-endian, as SipHash has it.
local function word_at(bytes, offset)
	local half = { 0, 0 }

	for i = 7, 0, -1 do
		local side = i < 4 and 1 or 2

		half[side] = half[side] * 256 + bytes:get_index(offset + i)
	end
	return UInt64.new(half[1], half[2])
end

local function siphash(key, bytes)
	local k0, k1 = word_at(key, 0), word_at(key, 8)
	local v = {
		[0] = k0:bxor(UInt64.new(0x70736575, 0x736f6d65)),
		[1] = k1:bxor(UInt64.new(0x6e646f6d, 0x646f7261)),
		[2] = k0:bxor(UInt64.new(0x6e657261, 0x6c796765)),
		[3] = k1:bxor(UInt64.new(0x79746573, 0x74656462)),
	}

	for offset = 0, bytes:len() - 8, 8 do
		siphash_word(v, word_at(bytes, offset))
	end
	siphash_word(v, UInt64.new(0, bytes:len() * 0x1000000))
	v[2] = v[2]:bxor(UInt64.new(0xFF, 0))
	for _ = 1, 4 do
		siphash_round(v)
	end
	return v[0]:bxor(v[1]):bxor(v[2]):bxor(v[3])
end

-- The key as bytes; nil if none is set.
local function key_bytes()
	local text = report.prefs.key

	if #text == 32 and not text:find("%X") then
		return ByteArray.new(text)
	end
end

-- 5 bits of exponent, 11 of mantissa.
local function decode_float(code)
	local exponent, mantissa = math.floor(code / 2048), code % 2048
	local value = exponent == 0 and mantissa or (2048 + mantissa) * 2 ^ (exponent - 1)

	return UInt64.new(value % 2 ^ 32, math.floor(value / 2 ^ 32))
end

local function add_tag(tree, option, addresses)
	local key = key_bytes()
	local range = option:range(LENGTH, 8)
	local state = 2
	local item

	if key then
		local hashed = option:range(0, LENGTH):bytes() .. addresses

		state = siphash(key, hashed) == range:uint64() and 1 or 0
	end
	tree:add(field.tag, range)
	item = tree:add(field.tag_state, range, state):set_generated()
	if state == 0 then
		item:add_proto_expert_info(expert.tag)
	end
end

-- option: a TvbRange from the type on to the end of the room; size: bytes, as its length field says.
local function add_report(option, size, addresses, parent)
	local tree = parent:add(report, option)
	local flags = option:range(3, 1)
	local keyed = math.floor(flags:uint() / 8) % 2 == 1

	tree:add(field.type, option:range(0, 1))
	local length = tree:add(field.length, option:range(1, 1))
	tree:add(field.magic, option:range(2, 1))
	local version = tree:add(field.version, flags)
	for _, name in ipairs({ "keyed", "draining", "application", "restarted" }) do
		tree:add(field[name], flags)
	end
	if math.floor(flags:uint() / 16) ~= VERSION then
		version:add_proto_expert_info(expert.version)
		return
	end
	if size ~= (keyed and LENGTH_KEYED or LENGTH) or size > option:len() then
		length:add_proto_expert_info(expert.length)
		return
	end
	tree:add(field.server_id, option:range(4, 4))
	tree:add(field.sequence, option:range(8, 4))
	tree:add(field.in_flight, option:range(12, 2))
	tree:add(field.utilisation, option:range(14, 2), option:range(14, 2):uint() / 65535)
	tree:add(field.latency_us, option:range(16, 2), decode_float(option:range(16, 2):uint()))
	tree:add(field.accept_queue, option:range(18, 2), option:range(18, 2):uint() / 65535)
	tree:add(field.connections_seen, option:range(20, 4))
	if keyed then
		add_tag(tree, option, addresses)
	end
	tree:append_text(string.format(", %s, in flight %d", tostring(option:range(4, 4):ipv4()),
		option:range(12, 2):uint()))
end

-- Calls found(option, length field) for each option of the type between first and the end of the range.
local function each_option(range, first, wanted, found)
	local offset = first

	while offset < range:len() do
		local kind = range:range(offset, 1):uint()
		local ends_list = wanted == OPTION_IPV4 and kind == 0
		local is_pad = kind == (wanted == OPTION_IPV4 and 1 or 0)

		if ends_list or (not is_pad and offset + 2 > range:len()) then
			return
		end
		local length = is_pad and 1 or range:range(offset + 1, 1):uint()

		if kind == wanted and offset + 4 <= range:len() and range:range(offset + 2, 1):uint() == MAGIC then
			found(range:range(offset), length)
		end
		-- In IPv6 the length does not count type and length.
		if wanted == OPTION_IPV6 and not is_pad then
			length = length + 2
		end
		if length == 0 then
			return
		end
		offset = offset + length
	end
end

local ip = Field.new("ip")
local ipv6 = Field.new("ipv6")
local ipv6_options = Field.new("ipv6.dstopts")

-- After everything else: the options of all IPv4 and IPv6 headers, tunnels included.
function report.dissector(_, _, tree)
	for _, header in ipairs({ ip() }) do
		local range = header.range

		each_option(range, 20, OPTION_IPV4, function(option, length)
			add_report(option, length, range:range(12, 8):bytes(), tree)
		end)
	end
	for _, header in ipairs({ ipv6_options() }) do
		local addresses

		for _, outer in ipairs({ ipv6() }) do
			if outer.offset < header.offset then
				addresses = outer.range:range(8, 32):bytes()
			end
		end
		each_option(header.range, 2, OPTION_IPV6, function(option, length)
			add_report(option, length + 2, addresses, tree)
		end)
	end
end

register_postdissector(report)

-- The addresses of the innermost IP header.
local function datagram_addresses()
	local headers = { ip() }

	return headers[#headers] and headers[#headers].range:range(12, 8):bytes()
end

function poll.dissector(buffer, pinfo, parent)
	if buffer:len() < POLL_LENGTH or buffer(0, 1):uint() ~= MAGIC then
		return 0
	end
	local tree = parent:add(poll, buffer())

	tree:add(poll_field.version, buffer(1, 1))
	tree:add(poll_field.kind, buffer(1, 1))
	tree:add(poll_field.number, buffer(4, 4))
	if buffer:len() > POLL_LENGTH + 4 then
		add_report(buffer(POLL_LENGTH), buffer(POLL_LENGTH + 1, 1):uint(), datagram_addresses(), tree)
	end
	pinfo.cols.protocol = "PLIMSOLL"
	return buffer:len()
end

DissectorTable.get("udp.port"):add(POLL_PORT, poll)
