/**
 * An append, atomic because Redis runs one script at a time.
 *
 *     session:{ID}   hash    last_seq, and for every producer p:NAME = "NUMBER:SEQ" of its last event
 *     events:{ID}    stream  SEQ-0 → t: when, e: the event's JSON
 *     live:{ID}      channel the same, for followers: FIRST_SEQ, when, JSON …, one a line (JSON text has no line ends)
 *
 * With `appendfsync always` Redis answers, and publishes, only after the file is synced, once for all that came
 * together. Pairs below the producer's last one are looked for among the events themselves.
 */
export const APPEND = `
local head, stream, channel, inserted_at = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local last_seq = redis.call('HGET', head, 'last_seq')
if not last_seq then return false end
last_seq = tonumber(last_seq)

local producers, fresh, answer = {}, {}, {}
local next_seq = last_seq
for i = 3, #ARGV, 3 do
  local name, number, json = 'p:' .. ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2]
  local known = producers[name]
  if not known then
    local text = redis.call('HGET', head, name)
    local colon = text and string.find(text, ':', 1, true)
    known = text and { tonumber(string.sub(text, 1, colon - 1)), tonumber(string.sub(text, colon + 1)) } or { 0, 0 }
    producers[name] = known
  end
  if number > known[1] then
    next_seq = next_seq + 1
    known[1], known[2] = number, next_seq
    fresh[#fresh + 1] = json
    answer[#answer + 1] = next_seq
  else
    local seq
    for back = #fresh, 1, -1 do
      if fresh[back] == json then seq = last_seq + back end
    end
    if not seq then
      local from = string.format('%.0f-0', math.min(known[2], last_seq))
      for _, entry in ipairs(redis.call('XREVRANGE', stream, from, '-', 'COUNT', 1024)) do
        if entry[2][4] == json then seq = tonumber(string.match(entry[1], '^%d+')) break end
      end
    end
    if not seq then return redis.error_reply('CONFLICT producer_replay_conflict') end
    answer[#answer + 1] = -seq
  end
end

if #fresh > 0 then
  for nth, json in ipairs(fresh) do
    redis.call('XADD', stream, string.format('%.0f-0', last_seq + nth), 't', inserted_at, 'e', json)
  end
  local fields = { 'last_seq', string.format('%.0f', next_seq) }
  for name, known in pairs(producers) do
    fields[#fields + 1] = name
    fields[#fields + 1] = string.format('%.0f:%.0f', known[1], known[2])
  end
  redis.call('HSET', head, unpack(fields))
  local lines = string.format('%.0f\\n%s\\n', last_seq + 1, inserted_at)
  redis.call('PUBLISH', channel, lines .. table.concat(fresh, '\\n'))
end
answer[#answer + 1] = next_seq
return answer
`;
