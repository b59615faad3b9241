/** The texts of `events/header_page` and `events/header_event`, for sub-buffers of 4096 bytes. */
import { TYPE_LEN_DATA_MAX, TYPE_LEN_PADDING, TYPE_LEN_TIME_EXTEND, TYPE_LEN_TIME_STAMP } from './record.ts';
import { SUB_BUFFER_DATA_SIZE, SUB_BUFFER_HEADER_SIZE } from './sub-buffer.ts';

/** The text of `events/header_page`. */
export const HEADER_PAGE_TEXT: string =
  '\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n' +
  '\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n' +
  '\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n' +
  `\tfield: char data;\toffset:${SUB_BUFFER_HEADER_SIZE};\tsize:${SUB_BUFFER_DATA_SIZE};\tsigned:0;\n`;

/** The text of `events/header_event`. */
export const HEADER_EVENT_TEXT: string =
  '# compressed entry header\n' +
  '\ttype_len    :    5 bits\n' +
  '\ttime_delta  :   27 bits\n' +
  '\tarray       :   32 bits\n' +
  '\n' +
  `\tpadding     : type == ${TYPE_LEN_PADDING}\n` +
  `\ttime_extend : type == ${TYPE_LEN_TIME_EXTEND}\n` +
  `\ttime_stamp : type == ${TYPE_LEN_TIME_STAMP}\n` +
  `\tdata max type_len  == ${TYPE_LEN_DATA_MAX}\n`;
