package plot

// DecodeBlock is decodeBlock, for tests of blocks by themselves.
var DecodeBlock = decodeBlock
