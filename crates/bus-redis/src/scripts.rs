//! What the server runs at once, so that nothing comes in between.
//!
//! A stream is two keys: the stream itself, and a hash beside it with its id (`i`), the last entry that was dropped (`d`),
//! the newest one (`e`), when both expire (`x`), and how many bytes all entries had together (`n`). If they do not fit
//! together, something has been lost, and a new life begins. An entry has its payload (`p`), and how many bytes all those
//! before it had (`b`): so what is kept is known from the oldest one that is.
//!
//! Imports: nothing.

/// Before each of the others. `KEYS`: the stream, the hash. `ARGV[1]`: a new random id.
macro_rules! script {
    ($body:literal) => {
        concat!(
            r"
local stream, hash = KEYS[1], KEYS[2]
local function split(id)
  local ms, number = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(number)
end
local function before(a, b)
  local am, an = split(a)
  local bm, bn = split(b)
  return am < bm or (am == bm and an < bn)
end
local life = redis.call('HMGET', hash, 'i', 'd', 'e', 'x', 'n')
local newest = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
local is_whole = life[1] and (newest and newest[1] == life[3] or not newest and life[2] == life[3])
if not is_whole then
  redis.call('DEL', stream, hash)
  life = {ARGV[1], '0-0', '0-0', false, false}
  redis.call('HSET', hash, 'i', life[1], 'd', life[2], 'e', life[3])
end
local function expire(ms)
  if ms == '0' then
    redis.call('PERSIST', stream)
    redis.call('PERSIST', hash)
  else
    redis.call('PEXPIRE', stream, ms)
    redis.call('PEXPIRE', hash, ms)
  end
end
local function touch(ms)
  local left = redis.call('PTTL', hash)
  ms = life[4] or ms
  if not is_whole or (left >= 0 and left < tonumber(ms)) then expire(ms) end
end
",
            $body
        )
    };
}

/// `ARGV`: a new id, the payload, how many entries and milliseconds are kept (0 is no limit), when the keys expire (0 is
/// never), the channel of those who follow, how many bytes are kept (0 is no limit). Answers the id and the entry's place.
pub(crate) const APPEND: &str = script!(
    r"
local bytes = tonumber(life[5] or 0)
local entry = redis.call('XADD', stream, '*', 'p', ARGV[2], 'b', string.format('%.0f', bytes))
bytes = bytes + #ARGV[2]
local dropped = life[2]
if ARGV[4] ~= '0' then
  local now = redis.call('TIME')
  local oldest = now[1] * 1000 + math.floor(now[2] / 1000) - ARGV[4]
  if oldest > 0 then
    oldest = string.format('%.0f-0', oldest)
    local old = redis.call('XREVRANGE', stream, '(' .. oldest, '-', 'COUNT', 1)[1]
    if old then
      dropped = old[1]
      redis.call('XTRIM', stream, 'MINID', oldest)
    end
  end
end
local length = redis.call('XLEN', stream)
local over = math.min(length - ARGV[3], 256)
if over > 0 then
  local old = redis.call('XRANGE', stream, '-', '+', 'COUNT', over)
  dropped = old[#old][1]
  redis.call('XTRIM', stream, 'MAXLEN', length - over)
end
if ARGV[7] ~= '0' then
  local from = '-'
  for _ = 1, 256 do
    local old = redis.call('XRANGE', stream, from, '+', 'COUNT', 1)[1]
    if not old or old[1] == entry or bytes - old[2][4] <= tonumber(ARGV[7]) then break end
    dropped = old[1]
    from = '(' .. dropped
  end
  if from ~= '-' then
    local ms, number = split(dropped)
    redis.call('XTRIM', stream, 'MINID', string.format('%.0f-%.0f', ms, number + 1))
  end
end
redis.call('HSET', hash, 'd', dropped, 'e', entry, 'x', ARGV[5], 'n', string.format('%.0f', bytes))
expire(ARGV[5])
redis.call('PUBLISH', ARGV[6], table.concat({life[1], life[3], entry, ARGV[2]}, ' '))
return {life[1], entry}
"
);

/// `ARGV`: a new id, when an idle stream expires, the id, the place behind which to read, how many entries. Answers the
/// id, the newest place and the entries, or nothing if what is behind the place is not all there.
pub(crate) const READ: &str = script!(
    r"
touch(ARGV[2])
if life[1] ~= ARGV[3] or before(ARGV[4], life[2]) or before(life[3], ARGV[4]) then return false end
local entries = {}
if ARGV[5] ~= '0' then entries = redis.call('XRANGE', stream, '(' .. ARGV[4], '+', 'COUNT', ARGV[5]) end
return {life[1], life[3], entries}
"
);

/// `ARGV`: a new id, when an idle stream expires, how many entries. Answers as [`READ`], the newest entry first.
pub(crate) const LAST: &str = script!(
    r"
touch(ARGV[2])
local entries = {}
if ARGV[3] ~= '0' then entries = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', ARGV[3]) end
return {life[1], life[3], entries}
"
);
